import { defineConfig } from "vitest/config";

// The oldest web view the app runs in: WKWebView of macOS 13. WebKitGTK and Chromium are newer.
const OLDEST = "safari16";

export default defineConfig(({ mode }) => ({
  // Relative addresses: the same files serve tauri://localhost and the engine's loopback port.
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: OLDEST,
    outDir: "dist",
    emptyOutDir: true,
    // Everything stays a file of its own: a strict CSP allows no data: or inline code.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: mode === "gallery" ? { input: { index: "index.html", gallery: "gallery.html" } } : {},
  },
  server: { host: "127.0.0.1", port: 5173, strictPort: true },
  clearScreen: false,
  test: { include: ["test/**/*.test.ts"], environment: "node" },
}));
