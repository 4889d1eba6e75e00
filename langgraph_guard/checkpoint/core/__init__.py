"""What a checkpointer is before it has a store: ids, values and their bytes, filters, histories."""
