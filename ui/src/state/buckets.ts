// What a bucket's state is in words, and which buckets there are: read from the snapshot by several pages.
import type { AppState, Bucket } from "../api/engine";
import type { IconName, Tone } from "../components/icons";
import type { Texts } from "../text/catalogue";

export const allBuckets = (app: AppState): Bucket[] => app.buckets.flatMap((group) => group.buckets);

/** Served now, or it should be: these have something to show. */
export const isActive = (bucket: Bucket) => bucket.mount.state !== "off";

/** It can be clicked to be mounted. */
export const canMount = (bucket: Bucket) => ["off", "failed", "lost"].includes(bucket.mount.state);

export interface BucketWords {
  text: string;
  /** The text is a sentence of the engine's. */
  engine?: boolean;
  icon: IconName;
  tone: Tone;
}

/** One line about a bucket: what needs somebody first, then what goes on. */
export function bucketWords(bucket: Bucket, { t }: Texts): BucketWords {
  const { mount, sync } = bucket;
  switch (mount.state) {
    case "off":
      return { text: t("mount.off"), icon: "bucket", tone: "quiet" };
    case "mounting":
      return { text: t("mount.mounting"), icon: "transfer", tone: "accent" };
    case "unmounting":
      return { text: t("mount.unmounting"), icon: "eject", tone: "quiet" };
    case "lost":
      return { text: mount.why, engine: true, icon: "attention", tone: "bad" };
    case "failed":
      return { text: mount.error.what, engine: true, icon: "attention", tone: "bad" };
    case "finishing":
      return { text: t("mount.finishing"), icon: "upload", tone: "accent" };
    case "mounted":
      break;
  }
  const need = sync ? sync.failed + sync.conflicts + sync.held_deletes : 0;
  if (need > 0) return { text: t("mount.needYou", { count: need }), icon: "attention", tone: "bad" };
  if (sync && !sync.online) return { text: t("mount.offline"), icon: "offline", tone: "warn" };
  const moving = sync ? sync.uploading + sync.queued + sync.waiting : 0;
  if (moving > 0) return { text: t("mount.uploading", { count: moving }), icon: "upload", tone: "accent" };
  if (mount.read_only) return { text: t("mount.readOnly"), icon: "lock", tone: "quiet" };
  return { text: t("mount.saved"), icon: "saved", tone: "good" };
}

/** Everyone a bucket may be made for: the accounts and their organisations. */
export const owners = (app: AppState): string[] => [...new Set(app.accounts.flatMap((account) => [account.name, ...account.organizations]))];
