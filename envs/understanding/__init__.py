"""What people and chat models write, read for what it says: plain sentences (``text``) and values (``values``)."""
