/** What a detection threshold found on the models' validation patients: as their bundle states it, and nothing between. */
import type { Health, Validation } from "./api";

type Point = Validation["points"][number];
type Stated = Point & { threshold: number };

/** So near, a threshold is the stated one. */
const SLACK = 5e-5;

/** What stands beside the slider. */
export function thresholdWords({ validation }: Health, threshold: number): string {
  if (!validation) return "What a threshold finds is not stated: the models' bundle has no figures for its thresholds.";
  const stated = validation.points.filter((point): point is Stated => point.threshold !== null);
  const exact = stated.find((point) => Math.abs(point.threshold - threshold) <= SLACK);
  if (exact)
    return `On validation it found ${share(exact)} of the lesions, with ${rate(exact)} false positives an image.`;
  const lower = highest(stated.filter((point) => point.threshold < threshold));
  const higher = lowest(stated.filter((point) => point.threshold > threshold));
  const bounds = [
    higher ? `at least ${bare(higher)} as at ${at(higher)}` : "",
    lower ? `at most ${bare(lower)} as at ${at(lower)}` : "",
  ].filter(Boolean);
  return `Not measured here. On validation it found ${bounds.join(", ")}.`;
}

/** Of which data, and what else is stated of them; a line each. */
export function validationLines({ validation, bundle }: Health): string[] {
  if (!validation) return [];
  const { data, split, patients, images, lesions, points } = validation;
  return [
    `Validation: ${lesions} lesions in ${images} images of ${patients} patients of ${data} (${split}), on which the models of ${bundle.name} were not trained, but their thresholds were chosen. A lesion counts as found from IoU 0.5. In brackets: 95% intervals.`,
    ...points.map(
      (point) =>
        `${point.threshold === null ? "At a threshold that the bundle does not state" : `At ${at({ ...point, threshold: point.threshold })}`}: ${share(point)} of the lesions, ${rate(point)} false positives an image.`,
    ),
    "What a threshold finds on images without a lesion is not stated.",
  ];
}

const percent = (value: number) => `${Math.round(100 * value)}%`;
const at = ({ threshold }: Stated) => threshold.toFixed(2);
const share = ({ sensitivity: { value, low, high } }: Point) =>
  `${percent(value)} (${Math.round(100 * low)} to ${percent(high)})`;
const rate = ({ false_positives_per_image: { value, low, high } }: Point) =>
  `${value.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
/** A lower threshold finds all that a higher one does, and more; so do its false positives. */
const bare = ({ sensitivity, false_positives_per_image: false_ }: Point) =>
  `${percent(sensitivity.value)} of the lesions and ${false_.value.toFixed(2)} false positives an image,`;
const highest = (points: readonly Stated[]) =>
  points.reduce<Stated | null>((best, point) => (best && best.threshold > point.threshold ? best : point), null);
const lowest = (points: readonly Stated[]) =>
  points.reduce<Stated | null>((best, point) => (best && best.threshold < point.threshold ? best : point), null);
