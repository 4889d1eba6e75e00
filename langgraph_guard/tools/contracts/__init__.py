"""What a tool may do, and what it promises.

contract      `ToolContract`
retries       how often a call is repeated, and after how long
loading       `Contracts`, and `@contract`: where contracts come from
yaml_files    YAML, read safely
imports       names of things to import
wording       problems in words
"""

from langgraph_guard.tools.contracts.contract import ToolContract
from langgraph_guard.tools.contracts.loading import Contracts, contract, contract_of

__all__ = ["Contracts", "ToolContract", "contract", "contract_of"]
