// Host time of published GPU serving stacks, which the roofline does not see. Our own server's is measured, not modelled.

/** Milliseconds per request before the scheduler sees it. BLIS inference-sim's fit to vLLM; hardware-facts, section 2. */
export const publishedHostMs = 15.6;
