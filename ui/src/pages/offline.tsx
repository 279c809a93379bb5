// Keep Offline: what of each bucket in use is kept on this computer, how far it is, and more of it.
import { useId, useState } from "preact/hooks";
import type { AppError, BucketStorage, KeepCost, KeptItem, Storage } from "../api/engine";
import { Button } from "../components/button";
import { useTexts } from "../components/context";
import { FileName } from "../components/file-name";
import { Icon } from "../components/icons";
import { Empty, ErrorBanner, Group, ProgressBar } from "../components/parts";
import { PendingDialog } from "../components/pending-dialog";
import { asAppError } from "../host/host";
import type { PendingQuestion } from "../state/actions";
import { useModel } from "../state/hooks";
import { useStorage } from "../state/storage";
import { bytes } from "../text/format";

export function OfflinePage() {
  const { t } = useTexts();
  const { storage, take } = useStorage();
  const [error, setError] = useState<AppError | null>(null);
  const [pending, setPending] = useState<PendingQuestion | null>(null);
  if (storage && storage.buckets.length === 0)
    return (
      <main class="sheet">
        <Empty alone icon="disk" title={t("offline.none")}>
          <p>{t("offline.noneText")}</p>
        </Empty>
      </main>
    );
  return (
    <main class="offline-page" aria-busy={storage === null}>
      <h1>{t("title.offline")}</h1>
      <p class="secondary">{t("offline.note")}</p>
      <ErrorBanner error={error} />
      {(storage?.buckets ?? []).map((bucket) => (
        <BucketItems key={bucket.bucket} bucket={bucket} onStorage={take} onError={setError} onAsk={setPending} />
      ))}
      <PendingDialog pending={pending} close={() => setPending(null)} />
    </main>
  );
}

interface BucketItemsProps {
  bucket: BucketStorage;
  onStorage: (storage: Storage) => void;
  onError: (error: AppError | null) => void;
  onAsk: (question: PendingQuestion | null) => void;
}

function BucketItems({ bucket, onStorage, onError, onAsk }: BucketItemsProps) {
  const { t } = useTexts();
  const { call } = useModel();
  const remove = async (item: KeptItem) => {
    onError(null);
    try {
      onStorage(await call("keep_no_longer", { bucket: bucket.bucket, path: item.path }));
    } catch (thrown) {
      onError(asAppError(thrown));
    }
  };
  return (
    <Group title={bucket.bucket} named>
      {bucket.items.length === 0 && <p class="line secondary">{t("offline.nothing")}</p>}
      {bucket.items.map((item) => (
        <ItemLine key={item.path} item={item} onRemove={() => remove(item)} />
      ))}
      <AddLine bucket={bucket} onStorage={onStorage} onError={onError} onAsk={onAsk} />
    </Group>
  );
}

function ItemLine({ item, onRemove }: { item: KeptItem; onRemove: () => Promise<unknown> }) {
  const { t, locale } = useTexts();
  const name = item.path === "" ? t("offline.everything") : item.path;
  const files = t("set.files", { count: item.files });
  const size = bytes(item.bytes, locale);
  const done = t("offline.downloading", { done: bytes(item.bytes_here, locale), size });
  const moving = item.state === "downloading";
  const text = {
    looking: () => t("offline.looking", { files }),
    downloading: () => done,
    waiting: () => done,
    failed: () => done,
    kept: () => t("offline.kept", { files, size }),
    gone: () => t("offline.gone"),
  }[item.state]();
  return (
    <div class="line">
      <Icon name={item.state === "kept" ? "saved" : item.state === "failed" || item.state === "gone" ? "attention" : item.state === "waiting" ? "offline" : "transfer"} size={18} tone={item.state === "kept" ? "good" : item.state === "failed" ? "bad" : "quiet"} />
      <div class="line-text grow">
        <p>
          <FileName name={name} />
        </p>
        <p class="secondary">{text}</p>
        {moving && (
          <div data-user>
            <ProgressBar label={name} share={item.bytes > 0 ? item.bytes_here / item.bytes : null} text={done} />
          </div>
        )}
        {item.state === "waiting" && (
          <p class="secondary" data-user>
            {item.why}
          </p>
        )}
        {item.state === "failed" && (
          <p class="field-error selectable" data-user>
            {item.why} {item.advice}
          </p>
        )}
      </div>
      <Button onClick={onRemove} about={name}>
        {t("offline.remove")}
      </Button>
    </div>
  );
}

function AddLine({ bucket, onStorage, onError, onAsk }: BucketItemsProps) {
  const { t, locale } = useTexts();
  const { call, host } = useModel();
  const id = useId();
  const [text, setText] = useState("");
  const [busy, setBusy] = useState(false);
  const [canPick, setCanPick] = useState(host.pickFolder !== undefined && bucket.mount_point !== null);
  const keep = async (path: string) => {
    onAsk(null);
    try {
      onStorage(await call("keep_offline", { bucket: bucket.bucket, path }));
      setText("");
    } catch (thrown) {
      onError(asAppError(thrown));
    }
  };
  const question = (cost: KeepCost): PendingQuestion => {
    const facts = { files: t("set.files", { count: cost.files }), size: bytes(cost.bytes, locale), download: bytes(cost.download_bytes, locale), free: bytes(cost.available_bytes, locale) };
    const words = !cost.fits ? "offline.tooLarge" : cost.download_bytes === 0 ? "offline.askHere" : "offline.ask";
    return {
      title: t("offline.askTitle", { name: cost.path === "" ? t("offline.everything") : (cost.path.split("/").pop() ?? cost.path) }),
      question: t(words, facts),
      facts: [],
      ...(cost.fits ? { yes: { label: t("offline.keep"), run: () => keep(cost.path), safe: true } } : {}),
    };
  };
  const ask = async (path: string) => {
    onError(null);
    setBusy(true);
    try {
      onAsk(question(await call("keep_cost", { bucket: bucket.bucket, path })));
    } catch (thrown) {
      onError(asAppError(thrown));
    }
    setBusy(false);
  };
  const choose = async () => {
    try {
      const path = await host.pickFolder?.(bucket.mount_point ?? "");
      if (path) await ask(path);
    } catch {
      setCanPick(false);
    }
  };
  return (
    <form
      class="line"
      onSubmit={(event) => {
        event.preventDefault();
        if (text.trim() !== "") void ask(text.trim());
      }}
    >
      <div class="line-control with-button wide">
        <label class="hidden-text" htmlFor={id}>
          {t("offline.path", { bucket: bucket.bucket })}
        </label>
        <input id={id} class="input" value={text} placeholder={t("offline.placeholder")} autocomplete="off" autocapitalize="off" spellcheck={false} onInput={(event) => setText(event.currentTarget.value)} />
        <Button submit disabled={busy || text.trim() === ""} about={bucket.bucket}>
          {busy ? t("offline.asking") : t("offline.add")}
        </Button>
        {canPick && (
          <Button onClick={choose} disabled={busy} about={bucket.bucket}>
            {t("common.choose")}
          </Button>
        )}
      </div>
    </form>
  );
}
