"""LangGraph's checkpoints in Cloudflare Workers KV: complete, over plain HTTP, for runs at the edge.

    saver = CloudflareKVSaver.from_account(account_id, namespace_id, api_token)
    app = graph.compile(checkpointer=saver)      # then `invoke` and `ainvoke`, from as many processes as you like

A write is visible where it was made, and elsewhere after a minute or so. A process sees its own at once; another one
waits when it is given a token (`session.py`), and is told where there is any sign that it does not see the latest.

`layout.py` and `records.py` are the specification of what is stored, `transport.py` the five calls that a way to the
namespace must have; `RestTransport` is one, for Cloudflare's API, its local simulator and a gateway Worker.
"""

from langgraph_guard.checkpoint.cloudflare.rest_transport import RestTransport
from langgraph_guard.checkpoint.cloudflare.saver import CloudflareKVSaver

__all__ = ["CloudflareKVSaver", "RestTransport"]
