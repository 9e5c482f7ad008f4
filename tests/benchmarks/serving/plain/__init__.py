"""What many would pick instead of this project: a plain Python consumer with XGBoost in its process.

Runs in the benchmarks' own environment, which has neither Spark nor the project's settings.
"""
