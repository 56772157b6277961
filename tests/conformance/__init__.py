"""
Cases from the test suites of other learning-rate finders, in our own code.

The first line of each test names its case: 1 to 8 are torch-lr-finder's, 9 to 11
fastai's, 12 to 20 Lightning's, 21 to 25 Ignite's, 26 and 27 holocron's, 28 AllenNLP's,
and 29 to 32 our own.

These are left out, or tested in another form, since it is decided otherwise here:

Case 3: tested on the raw rule; a curve's own suggestion leaves out both ends first.
Case 4: the skips are fixed, too few points give None, and the drawing has all points.
Case 9: the last rate is the end itself, so that the exponent is i / 99, not i / 100.
Case 12: the slope is over the logarithm of the rate, so that the sine must be, too.
Case 13: the skips are fixed, a rise gives None, and a gap ends what the rules see.
Case 18: a batch without a loss is no NaN in the curve; the next has the same rate.
Case 19: there is no trainer to be reset; the one that a module has is left alone.
Case 21: left out; the central difference before the minimum is none of our rules.
Case 22: left out for that, too; the rates of several groups keep their ratios.
Case 23: a curve that only rises gives None by all of our rules, and is no error.
Case 24: there is no factor of divergence to check, and lists of rates are refused.
Case 25: there is no trainer with a state of its own.
Case 26: num_it counts steps, not batches, and is at least 2; the batches end the test.
Case 28: left out; 101 points for 100 are a mistake, and 2 steps are enough here.
"""
