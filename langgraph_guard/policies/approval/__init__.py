"""Whose word a call needs, and what it is that they agree to.

actions     a tool and its arguments as exact text, its digest, and the id of the request to approve it
rules       whether a call may run, may not, or needs people
answers     what people answered, in any of the shapes that user interfaces send
commands    what can be said to a desk, and what it answers
checks      what it refuses before it looks
desk        requests and decisions as rows: the first decision wins, and every deed is chained to the last
chain       the record of deeds, and what shows that one was altered
"""
