"""What contacts write for numbers, dates, times, identifiers, choices and ratings.

A parser returns None for what is ambiguous: to ask again costs less than a wrong value.
"""
