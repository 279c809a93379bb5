// What lies on this computer: asked for while a page shows it, as it is no part of the state.
import { useCallback, useEffect, useState } from "preact/hooks";
import type { Storage } from "../api/engine";
import { useModel } from "./hooks";

const EVERY = 2000;

export function useStorage(): { storage: Storage | null; take: (storage: Storage) => void } {
  const { call } = useModel();
  const [storage, setStorage] = useState<Storage | null>(null);
  useEffect(() => {
    let ended = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      const answer = await call("storage", {}).catch(() => null);
      if (ended) return;
      if (answer) setStorage(answer);
      timer = setTimeout(look, EVERY);
    };
    void look();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, []);
  const take = useCallback((answer: Storage) => setStorage(answer), []);
  return { storage, take };
}
