"""Builders in the pods of a real Kubernetes."""
