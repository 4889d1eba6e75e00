"""Langfuse: its own callback handler, with what the guards decided, what it really cost, and no more than that.

handler     the stock handler, thinned
payload     what of a state is shown
told        what a callback is told beside it
wide        who asked, on every observation
calls       model calls that wait for what they cost
costs       the ledger's figure on the model call that it paid for
client      a client that cannot hold the program
uploads     scores and media that are lost, counted
private     the members of Langfuse's that have no public name
"""
