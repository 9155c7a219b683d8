"""An agent among people: served to them, described on a card, pushed to a hub. FastAPI is imported when it serves."""
