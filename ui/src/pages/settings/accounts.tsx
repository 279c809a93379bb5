import { useState } from "preact/hooks";
import type { Account } from "../../api/engine";
import { Button } from "../../components/button";
import { useTexts } from "../../components/context";
import { Icon } from "../../components/icons";
import { Banner, Group } from "../../components/parts";
import { PendingDialog } from "../../components/pending-dialog";
import { SignInPanel } from "../../components/sign-in";
import { useQuestion } from "../../state/actions";
import { useModel } from "../../state/hooks";
import type { PaneProps } from "./settings";

export function AccountsPane({ app }: PaneProps) {
  const { t } = useTexts();
  const { run } = useModel();
  const question = useQuestion();
  const [adding, setAdding] = useState(false);
  const under_way = ["browser", "device", "checking", "failed"].includes(app.sign_in.step);
  const signOut = (account: Account) =>
    question.ask({ title: t("signOut.title", { name: account.name }), yes: t("signOut.yes") }, (consent) => run("sign_out", { account: account.id, consent: consent ?? undefined }));
  return (
    <>
      {app.token_variable && (
        <Banner icon="terminal">
          <p>{t("account.variable", { name: app.token_variable })}</p>
        </Banner>
      )}
      {app.accounts.length > 0 && (
        <Group>
          {app.accounts.map((account) => (
            <AccountLine key={account.id} account={account} many={app.accounts.length > 1} onSignOut={() => signOut(account)} />
          ))}
        </Group>
      )}
      {app.accounts.length === 0 || adding || under_way ? (
        <Group title={t(app.accounts.length === 0 ? "account.signIn" : "account.add")}>
          <div class="line">
            <SignInPanel app={app} />
          </div>
        </Group>
      ) : (
        <div>
          <Button icon="plus" onClick={() => setAdding(true)}>
            {t("account.add")}
          </Button>
        </div>
      )}
      <PendingDialog {...question} />
    </>
  );
}

function AccountLine({ account, many, onSignOut }: { account: Account; many: boolean; onSignOut: () => Promise<unknown> }) {
  const { t } = useTexts();
  const { run } = useModel();
  const trouble = account.health === "good" ? null : t(`account.${account.health}`);
  return (
    <div class="line">
      <span class="avatar" aria-hidden="true" data-user>
        {account.name.slice(0, 1).toLocaleUpperCase()}
      </span>
      <div class="line-text">
        <p>
          <strong data-user>{account.full_name ?? account.name}</strong>{" "}
          {account.full_name && (
            <span class="secondary" data-user>
              {account.name}
            </span>
          )}
          {account.is_default && many && <span class="chip">{t("account.default")}</span>}
        </p>
        <p class="secondary">{t(`account.kind.${account.kind}`, { place: account.kept_in })}</p>
        {account.organizations.length > 0 && <p class="secondary">{t("account.organizations", { names: account.organizations.join(", ") })}</p>}
        {trouble && (
          <p class="field-error trouble">
            <Icon name="attention" size={14} />
            {trouble}
          </p>
        )}
      </div>
      <div class="button-row">
        {many && !account.is_default && (
          <Button onClick={() => run("set_default_account", { account: account.id })} about={account.name}>
            {t("account.makeDefault")}
          </Button>
        )}
        {account.kind !== "environment" && (
          <Button onClick={onSignOut} about={account.name}>
            {t("signOut.signOut")}
          </Button>
        )}
      </div>
    </div>
  );
}
