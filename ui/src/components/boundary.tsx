import { Component, type ComponentChildren } from "preact";
import { Button } from "./button";
import { TextsContext } from "./context";
import { Empty } from "./parts";

/** A fault in a page's own code shows a page that says so, never an empty window. The engine is not touched by it. */
export class Boundary extends Component<{ children: ComponentChildren }, { broken: boolean }> {
  override state = { broken: false };

  static override getDerivedStateFromError() {
    return { broken: true };
  }

  override componentDidCatch(error: unknown) {
    console.error(error);
  }

  override render() {
    if (!this.state.broken) return this.props.children;
    return (
      <TextsContext.Consumer>
        {({ t }) => (
          <main class="alone">
            <Empty alone icon="attention" title={t("broken.title")} actions={<Button onClick={() => location.reload()}>{t("broken.reload")}</Button>}>
              <p>{t("broken.text")}</p>
            </Empty>
          </main>
        )}
      </TextsContext.Consumer>
    );
  }
}
