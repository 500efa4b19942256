"""Guards around what goes to servers and comes from them: rules, the built-in guards, webhooks and plugins; and calls
that wait for a person.
"""
