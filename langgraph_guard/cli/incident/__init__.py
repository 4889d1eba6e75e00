"""The 2 a.m. incident: an order service that hangs, and a support agent that takes its time-out for "pending".

orders      the service, and the tool that asks it
models      the model that asks again for ever, and the one that writes the closing answer; both scripted
agents      the same agent twice: without a guard, and with a budget, a breaker and a loop check
watch       what a run did and what it cost, seen from outside, alike for both
play        both at once
screen      progress: side by side in a terminal, plain lines elsewhere
ending      what it came to: a table, and the tree of `observability`, as for any run
"""
