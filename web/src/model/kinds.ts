/** What a kind of finding is called and how it is drawn: the server's table, sent with its health. */
import type { Finding, FindingKind, Health } from "./api";

/** The kind of a finding; until the server's table is there, its name has to do. */
export function kindOf(health: Health | null, { kind: name }: Finding): FindingKind {
  const row = health?.kinds.find((kind) => kind.name === name);
  return row ?? { name, word: name, plural: name, indefinite: name, longest: "longest", outlined: true, sought: false };
}

/** What the models look for, as in "calcifications and asymmetries". */
export function soughtWords(health: Health | null): string {
  return new Intl.ListFormat("en-GB").format(sought(health).map(({ plural }) => plural));
}

/** The one kind that the models look for; null: they look for several. */
export function onlySought(health: Health | null): FindingKind | null {
  const [first, ...rest] = sought(health);
  return first && rest.length === 0 ? first : null;
}

const sought = (health: Health | null) => (health?.kinds ?? []).filter((kind) => kind.sought);
