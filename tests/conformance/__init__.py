"""
Cases of the test suites of other learning-rate finders, written for lrwidget.

The first line of each test names its case: 1 to 8 are torch-lr-finder's, 9 to 11
fastai's, 12 to 20 Lightning's, 21 to 25 Ignite's, 26 and 27 holocron's, 28 AllenNLP's,
and 29 to 32 lrwidget's own.

These cases are left out or changed, since lrwidget differs from these finders:

Case 3: tested on the rule itself; `LRCurve.suggest` leaves out both ends first.
Case 4: the number of skipped points is fixed, too few points give None, and the plot
    shows all points.
Case 9: the last rate equals end_lr, so the exponent is i / 99, not i / 100.
Case 12: the slope is taken over the logarithm of the rate, and so is the sine.
Case 13: the number of skipped points is fixed, a rise gives None, and the rules
    ignore the points after a gap.
Case 18: a batch without a loss adds no NaN to the curve; the next batch has the same
    rate.
Case 19: lrwidget has no trainer to reset, and leaves a module's trainer unchanged.
Case 21: left out; lrwidget has no rule with the central difference before the minimum.
Case 22: left out for the same reason; the rates of several groups keep their ratios.
Case 23: a curve that only rises is no error; each rule gives None.
Case 24: lrwidget has no divergence factor to check, and refuses lists of rates.
Case 25: lrwidget has no trainer with its own state.
Case 26: num_it counts optimizer steps, not batches, and is at least 2; the test ends
    after the last batch.
Case 28: left out; 101 points for 100 steps are a mistake, and lrwidget accepts 2 steps.
"""
