/** Whose exam it is, in words: what its images state, and nothing that they do not. */
import type { Patient } from "./api";

/** For the heading of an exam: the name, else the ID. */
export const patientName = (patient: Patient | null | undefined) => patient?.name || patient?.patient_id || "";

/** "ID 12, born 1939-11-13". */
export const patientFacts = ({ name, patient_id: id, birth_date: born }: Patient) =>
  listed([name && id ? `ID ${id}` : "", born ? `born ${born}` : ""]);

/** "Study 2026-01-31, accession A1, Screening". */
export const studyFacts = ({ study_date: date, accession_number: accession, description }: Patient) =>
  listed([date ? `study ${date}` : "", accession ? `accession ${accession}` : "", description]);

const listed = (parts: readonly string[]) => parts.filter(Boolean).join(", ");
