// Uploads a file with tus-js-client: node upload.cjs ENDPOINT TOKEN FILE OPTIONS(JSON)
// Prints "progress BYTES" as it goes on and "done URL" in the end.
const fs = require('fs')
const tus = require('tus-js-client')

const [endpoint, token, file, options] = process.argv.slice(2)
const upload = new tus.Upload(fs.createReadStream(file), {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  uploadSize: fs.statSync(file).size,
  metadata: { filename: 'export.zip' },
  retryDelays: Array(40).fill(250),
  onProgress: (sent) => console.log(`progress ${sent}`),
  onSuccess: () => console.log(`done ${upload.url}`),
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
  ...JSON.parse(options),
})
upload.start()
