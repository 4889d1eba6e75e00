"""OpenTelemetry: every name in one table, metrics over any MeterProvider, spans to any exporter or TracerProvider.

names       attributes and metrics
labels      names as labels, and no more of them than is good
metrics     counters, histograms and gauges of what guards say
watch       what only the run itself shows: how long, how many
exporter    Langfuse's attributes in the words of the GenAI conventions
sending     what is lost on the way there, counted
mirror      the same spans within a program's own TracerProvider
"""
