"""What may leave a context that grows too long, what must stay, and what is remembered of what left.

items        a message as the policy sees it: who speaks, what it asks for, what it answers
segments     where a history may be cut, and what is pinned
repair       what is wrong with a history that arrives broken
waters       when to begin, how far to go, and what is worth doing
summary      the rolling summary: sections, entries, caps
patches      how an answer changes it
extract      what is remembered without a model
transcript   what a summarizer reads, in pieces that fit
wording      what a summarizer is told
scripts      in which script a text is written
"""

from langgraph_guard.policies.compaction.items import Item
from langgraph_guard.policies.compaction.repair import Faults, faults
from langgraph_guard.policies.compaction.segments import Segment, segments
from langgraph_guard.policies.compaction.summary import Entry, Summary
from langgraph_guard.policies.compaction.waters import Waters, oldest, waterline

__all__ = ["Entry", "Faults", "Item", "Segment", "Summary", "Waters", "faults", "oldest", "segments", "waterline"]
