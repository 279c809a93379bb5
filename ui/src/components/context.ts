import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { textsFor, type Texts } from "../text/catalogue";

/** The words and the locale, for every component. */
export const TextsContext = createContext<Texts>(textsFor("en"));

export const useTexts = (): Texts => useContext(TextsContext);
