// Explain: the comparison in sentences that a newcomer can read: who is quick for one user and why, what runs out
// first on each device, and when another device is the better choice. Only numbers of the comparison are used.

import { largestPart } from './bounds.ts';
import type { Comparison, DeviceComparison } from './compare.ts';
import { digitsText, percentText } from './compare.ts';

export function explain({ devices, lengths }: Comparison): string[] {
  return [
    ...fastest(devices),
    ...devices.map((entry) => runsOut(entry)),
    ...mostForAll(devices),
    ...energy(devices),
    `Users ask ${lengths.isl} tokens and read ${lengths.osl}.`,
  ];
}

function rateOfOne({ sweep }: DeviceComparison): number {
  return sweep.points[0]?.summary.userTokensPerSecond ?? 0;
}

function fastest(devices: readonly DeviceComparison[]): string[] {
  const sorted = [...devices].sort((a, b) => rateOfOne(b) - rateOfOne(a));
  const first = sorted[0];
  const last = sorted.at(-1);
  if (first === undefined) return [];
  const texts = sorted.map(
    (entry) =>
      `${entry.device.name} gives one user alone ${digitsText(rateOfOne(entry))} tokens/s; most of a token's time goes into ${largestPart(entry.tokenParts)}.`,
  );
  if (last !== undefined && last !== first && rateOfOne(last) > 0) {
    texts.push(
      `For one user, ${first.device.name} is ${digitsText(rateOfOne(first) / rateOfOne(last))} times as fast as ${last.device.name}.`,
    );
  }
  return texts;
}

function runsOut({ device, sweep, summary }: DeviceComparison): string {
  const tokens = summary.kvTokens;
  const limit =
    sweep.kneeUsers === null
      ? `has not stopped scaling at ${sweep.points.at(-1)?.userCount ?? 0} users`
      : `stops scaling at about ${sweep.kneeUsers} users: ${sweep.kneeReason}`;
  const places = device.kind === 'wafer' ? `, and ${device.placement.stages.length} pipeline stages` : '';
  return `${device.name} has room for ${tokens} tokens of KV beside the weights${places}; it ${limit}. On the trace it used at most ${percentText(summary.kvShareMax)} of that room.`;
}

function mostForAll(devices: readonly DeviceComparison[]): string[] {
  const best = (entry: DeviceComparison): number =>
    Math.max(0, ...entry.sweep.points.map(({ summary }) => summary.tokensPerSecond));
  const sorted = [...devices].sort((a, b) => best(b) / b.device.powerW - best(a) / a.device.powerW);
  return sorted.map(
    (entry) =>
      `${entry.device.name} reaches ${digitsText(best(entry))} tokens/s for all users together, ${digitsText((best(entry) / entry.device.powerW) * 1000)} tokens/s per kW of stated power.`,
  );
}

function energy(devices: readonly DeviceComparison[]): string[] {
  const known = devices.filter(({ summary }) => summary.joulesPerToken !== null);
  const sorted = [...known].sort((a, b) => a.summary.joulesPerToken! - b.summary.joulesPerToken!);
  const first = sorted[0];
  if (first === undefined || sorted.length < 2) return [];
  return [
    `On this load ${first.device.name} spends the least energy per token, ${digitsText(first.summary.joulesPerToken)} J.`,
  ];
}
