// Host time of published GPU serving stacks, which the roofline does not see. Our own server's is measured, not modelled.

/** Milliseconds per request before the scheduler sees it. vLLM: BLIS inference-sim's fit; hardware-facts, section 2. */
export const vllmHostMs = 15.6;

/** The same of NIM 1.8: fitted to the first token of one user, Llama-3.1-8B with 200 tokens (10.26 ms). */
export const nimHostMs = 4.7;
