// Preloaded into a process that is to find no koffi, as on a platform it has no binary for.
const Module = require('node:module');

const load = Module._load;
Module._load = function (request, ...rest) {
  if (request === 'koffi') throw new Error('no binary for this platform');
  return load.call(this, request, ...rest);
};
