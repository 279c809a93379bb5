// Draws the app with a host and a language: once for real, and by the gallery of states for tests.
import { render } from "preact";
import { App } from "./app";
import { Boundary } from "./components/boundary";
import { TextsContext } from "./components/context";
import type { Host } from "./host/host";
import { ModelContext } from "./state/hooks";
import { makeModel } from "./state/model";
import { PSEUDO, textsFor } from "./text/catalogue";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/controls.css";
import "./styles/pages.css";

/** Numbers and dates go by the person's system; the pseudo-locale comes by `?locale=en-XA`. */
export function chooseLocale(): string {
  const asked = new URLSearchParams(location.search).get("locale");
  return asked === PSEUDO ? PSEUDO : usable(navigator.language);
}

/** WebKitGTK takes its language from the environment and may say "C", which no formatter knows. */
export function usable(language: string): string {
  try {
    return Intl.getCanonicalLocales(language)[0] ?? "en";
  } catch {
    return "en";
  }
}

export function start(host: Host, root: HTMLElement): void {
  const model = makeModel(host);
  model.start();
  render(
    <TextsContext.Provider value={textsFor(chooseLocale())}>
      <ModelContext.Provider value={model}>
        <Boundary>
          <App />
        </Boundary>
      </ModelContext.Provider>
    </TextsContext.Provider>,
    root,
  );
}
