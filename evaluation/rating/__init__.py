"""People compare replies: pairs, the session, the terminal and the web page that ask, and what came out."""
