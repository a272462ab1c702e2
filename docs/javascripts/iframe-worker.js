/* A browser starts no Worker on a page that was opened from a folder, and the search is one. Such a page runs the
   worker's script in a hidden frame instead. The theme knows such a class by the name IFrameWorker. */
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.worker = this
      frame.srcdoc = `<script>
        const worker = frameElement.worker
        self.postMessage = data => worker.dispatchEvent(new MessageEvent("message", { data }))
        self.importScripts = async (...urls) => {
          for (const src of urls) {
            await new Promise((resolve, reject) => {
              const script = Object.assign(document.createElement("script"), { src, onload: resolve, onerror: reject })
              document.body.append(script)
            })
          }
        }
        </script><script src="${new URL(url, document.baseURI)}"></script>`
      this.frame = frame
      this.loaded = new Promise(resolve => frame.addEventListener("load", resolve, { once: true }))
      document.body.append(frame)
    }

    postMessage(data) {
      this.loaded.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })))
    }

    terminate() {
      this.frame.remove()
    }
  }
  window.Worker = window.IFrameWorker
}
