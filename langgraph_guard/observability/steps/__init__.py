"""What a run did, one record per step: to SQLite, to lines of JSON, to a function, a logger or a list.

step        the record
text        arguments and results in a few characters, without secrets
units       what is under way
guards      what a guard's event says of a run
bills       which model call a charge of the ledger belongs to
prompts     exact prompts and raw answers, for who asks for them
answers     what a model's answer says of itself
drafts      what has ended, and the record that the writing thread makes of it
records     from what LangChain says to drafts
tools       tool calls
models      model calls
recorder    the handler for `config["callbacks"]`
writer      a bounded queue and the thread behind it
sinks       where records go
store       the SQLite file: its table, its version
reading     records back from a file
"""

from langgraph_guard.observability.steps.reading import read
from langgraph_guard.observability.steps.recorder import StepRecorder
from langgraph_guard.observability.steps.step import Step

__all__ = ["Step", "StepRecorder", "read"]
