"""The page that shows it all: what serves, how well it predicts, and what happened to each batch and model.

The topics are all that it knows: ``feed.py`` reads them into a ``Board``, which is pure, and ``hub.py`` sends
what changed on it to every browser. It publishes one thing, the requests that its form makes.
"""
