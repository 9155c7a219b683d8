"""Small talk: the corpora, the partner that retrieves its turns from them, and how it finds them."""
