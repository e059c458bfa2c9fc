"""The findings that preflight's code can make, read from the code.

A small interpreter follows each check through its branches and keeps the texts. What depends on a
site becomes a placeholder with the name that the code has for it. Messages are collected where one
of MAKERS is called. Functions of the same module and functions that return text are followed.
"""
