"""What a model reads of what a tool gave back.

select       the fields that a contract keeps, and lists in an order that nobody decides
paths        dotted paths into a result
reading      a result, level by level or as JSON text, within bounds
blocks       texts and images side by side
binary       what bytes are
artifacts    long results, put aside and shown in parts
reader       `read_artifact`: the tool that reads them
excerpt      where to cut
cleaning     what strangers wrote, cleaned and fenced; `invisible`, `delimiters` and `suspicions` are its tables
"""
