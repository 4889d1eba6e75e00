"""OpenTelemetry: every name in one table, metrics over any MeterProvider, spans to any exporter or TracerProvider.

names       attributes and metrics
metrics     counters, histograms and gauges of what guards say
watch       what only the run itself shows: how long, how many
exporter    Langfuse's attributes in the words of the GenAI conventions
mirror      the same spans within a program's own TracerProvider
"""
