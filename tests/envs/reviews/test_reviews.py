"""Reviews as people write them, and what becomes of them where words are compared."""

import pytest

from dialogym.envs.reviews.corpus import beginning_of, joined, load_reviews, natural, sentences_of, spaced, words_of


def test_a_text_is_cut_after_so_many_words_and_marks_and_keeps_its_own_form():
    text = 'He said: "It\'s FINE!" (Really.) Then he left -- at once.'
    assert beginning_of(text, 6) == 'He said: "It\'s FINE!"'
    assert beginning_of(text, 9) == 'He said: "It\'s FINE!" (Really.'
    assert beginning_of(text, 100) == text
    for count in range(1, 15):
        assert words_of(beginning_of(text, count)) == words_of(text)[:count]


def test_sentences_keep_their_closing_quotes_and_marks():
    assert sentences_of('"It is good." (So they say.) I left!') == ['"It is good."', "(So they say.)", "I left!"]


@pytest.mark.parametrize(
    ("apart", "together"),
    [
        ('the film , i think , isn\'t " bad . "', 'The film, I think, isn\'t "bad."'),
        ("what we get . . . is a mess ( sort of ) .", "What we get... is a mess (sort of)."),
        ("i'm here . it 's late , isn't it ?", "I'm here. It's late, isn't it?"),
        ("the word 'quit . ' again", "The word 'quit.' Again"),
        ("McDonald's , 5 % off", "McDonald's , 5 % off"),
    ],
)
def test_text_of_which_the_marks_were_set_apart_is_put_together(apart, together):
    assert natural(apart) == together


def test_abstracts_keep_their_capitals():
    assert joined("We train a Machine Translation ( MT ) system .") == "We train a Machine Translation (MT) system."


def test_the_words_of_real_reviews_stay():
    for source in ("rotten_tomatoes", "imdb"):
        for review in load_reviews(source)[:3000]:
            assert spaced(natural(review.text)) == spaced(review.text)


def test_real_reviews_begin_with_capitals_and_have_no_space_before_a_comma():
    shown = [natural(review.text) for review in load_reviews("rotten_tomatoes")]
    assert sum(" ," in text for text in shown) == 0
    first = [next((letter for letter in text if letter.isalnum()), "A") for text in shown]
    assert not any(letter.islower() for letter in first)
