import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import type { Model, View } from "./model";

export const ModelContext = createContext<Model | null>(null);

export function useModel(): Model {
  const model = useContext(ModelContext);
  if (!model) throw new Error("a page outside of the app");
  return model;
}

export function useView(): View {
  const { store } = useModel();
  const [view, setView] = useState(store.get());
  useEffect(() => {
    // It may have changed between drawing and listening.
    setView(store.get());
    return store.subscribe(() => setView(store.get()));
  }, [store]);
  return view;
}

/** The time now, moving each half minute: for "until 14:02" and "yesterday". */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
