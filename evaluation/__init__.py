"""Is the gain real? Scores on frozen goals, comparisons of agents, statistics and reports.

``score.score`` plays an agent on a list of goals, ``compare.compare`` trains and scores them all and writes a report,
``validate.validate`` checks that a task is fit to be learned, and ``statistics`` has the intervals and the tests.
"""
