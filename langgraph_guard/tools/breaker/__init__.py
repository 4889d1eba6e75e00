"""A breaker around tools, models and nodes: services that fail are left alone until they may be tried again.

    breaker = CircuitBreaker(MemoryBackend())
    graph.add_node("search", breaker.wrap(search))

facade      `CircuitBreaker`
keys        whose circuit a call belongs to: its tool's, its host's, or what a function of yours says
permits     what a caller is given
outcomes    what an error says about the service
calls       the calls of one circuit: the short way and the long one
wrapping    nodes behind a breaker
checks      what a breaker refuses
shared      the registry that processes share, and what decides while it is out of reach
"""

from langgraph_guard.tools.breaker.facade import CircuitBreaker
from langgraph_guard.tools.breaker.outcomes import outcome_of
from langgraph_guard.tools.breaker.permits import Permit, Refused

__all__ = ["CircuitBreaker", "Permit", "Refused", "outcome_of"]
