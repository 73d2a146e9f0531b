// What makes a server one node of several: its name, what it tells routers, where nodes meet. Data only. After it: options.ts.
import { option } from './option.ts';
import { among, GIB, integer, MIB, nodeName, orNull, redisUrl, size, text } from './option-domains.ts';

export const CLUSTER_OPTIONS = {
  node: option('node', orNull('none', nodeName()), null).says(
    'name of this node among several; ids of sessions, responses and conversations then begin with it, so that proxies find it',
  ),
  cluster: option('cluster', orNull('none', redisUrl()), null).says(
    'Redis or Valkey through which sessions, stored responses and conversations outlive their node, such as redis://127.0.0.1:6379; off by default',
  ),
  clusterStoreSizeMax: option('cluster-store-size', size(1 * MIB, 1024 * GIB), 256 * MIB).says(
    'stored responses of all nodes there, and as much again of conversations; the oldest go first',
  ),
  engineMetrics: option('engine-metrics', among(['sparklane', 'vllm']), 'sparklane').says(
    'names of the gauges that routers read; vllm adds them under its names',
  ),
  kvEvents: option('kv-events', orNull('none', text(255)), null).says(
    'where cached blocks are told to routers in the form of vLLM, such as tcp://127.0.0.1:5557; needs the package zeromq',
  ),
  kvEventsReplay: option('kv-events-replay', orNull('none', text(255)), null).says(
    'where routers that come late ask for what was told before, such as tcp://127.0.0.1:5558',
  ),
  kvEventsTopic: option('kv-events-topic', orNull('none', text(255)), null).says(
    'topic of these events, such as kv@pod@model; none is the empty one',
  ),
  kvEventsKept: option('kv-events-kept', integer(1, 1_000_000), 10_000).says(
    'latest batches kept for replay',
  ),
};
