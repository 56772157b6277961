// Numbers as texts.

const LITTLE = 1.095; // ratio of two rates, below which the difference is told

// A rate with two digits, in one notation: 2.0e-2, 0.29, 3.
function shortRate(rate) {
  if (rate >= 0.0995 && rate < 1000) return String(Number(rate.toPrecision(2)));
  return rate.toExponential(1).replace("+", "");
}

// A loss with three digits: 2.30, 0.0412, 1.20e-5.
function shortLoss(loss) {
  const size = Math.abs(loss);
  if (loss === 0 || (size >= 0.001 && size < 1000)) return loss.toPrecision(3);
  return loss.toExponential(2).replace("+", "");
}

// A loss and its margin of error, with two digits of the margin and three of the loss.
function withMargin(loss, margin) {
  if (!(margin > 0) || !Number.isFinite(loss + margin)) return shortLoss(loss);
  const powerOf = (number) => Math.floor(Math.log10(number));
  const power = powerOf(Math.max(Math.abs(loss), margin));
  const places = Math.min(2 - power, 1 - powerOf(margin));
  if (margin < 0.5 * 10 ** -places) return shortLoss(loss);
  if (power < -2 || power > 2) {
    const [one, other] = [loss, margin].map((number) => (number / 10 ** power).toFixed(2));
    return `(${one} ± ${other})e${power}`;
  }
  const digits = Math.max(places, 0);
  return `${loss.toFixed(digits)} ± ${margin.toFixed(digits)}`;
}

// A rate in the two digits that are shown, so that a ratio is that of the shown rates.
function rounded(rate) {
  return Number(rate.toPrecision(2));
}

// The ratio of two rates, at least 1, with two digits.
function times(ratio) {
  return `${Number(Math.max(ratio, 1 / ratio).toPrecision(2))}x`;
}

function besideSuggestion(rate, suggestion) {
  const [own, other] = [rounded(rate), rounded(suggestion)];
  if (own === other) return "suggested";
  const ratio = Math.max(own / other, other / own);
  const much = ratio < LITTLE ? `${Math.round(100 * (ratio - 1))}%` : times(ratio);
  return `${much} ${own < other ? "lower" : "higher"} than suggested`;
}

function besideUnstable(rate, unstableFrom) {
  if (rate >= unstableFrom) return "among the unstable rates";
  const ratio = times(rounded(unstableFrom) / rounded(rate));
  return `${ratio === "1x" ? "just" : ratio} lower than the unstable rates`;
}
