"""The summarizer: a context that grows too long is shortened, and what leaves it is remembered.

node        `SummarizationNode`
settings    what it is given, checked
visit       one visit: look, work, say what was done
ladder      what is done, from what costs least to what costs most
draft       a history that is being rewritten, slot by slot
shrinking   messages made smaller
reading     messages as the policies see them
sizes       how big messages are
writer      from messages that leave to a summary
asking      the model that writes it
memo        the summary as a message
hosts       the result as an update of the messages
viewing     the result as a record beside them
"""

from langgraph_guard.nodes.summarization.node import SummarizationNode

__all__ = ["SummarizationNode"]
