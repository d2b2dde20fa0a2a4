"""The operator's verbs: try it, run it, say who may use it, keep its keys, find what is wrong."""
