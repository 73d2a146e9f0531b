import { expect, test } from 'vitest';
import { ConfigError, loadConfig, presetConfig } from '../../../../server/config/config.ts';

function configOf(file: object) {
  return loadConfig({
    flags: { config: 'c.json' },
    env: { HOME: '/home/ada' },
    readFile: () => JSON.stringify(file),
  });
}

test('a preset differs from the server in what it says, and shares what it does not say', () => {
  const models = { tuned: { model: './m', lora: ['./a=0.5'], slots: 2, idleUnloadMs: '5m', aliases: ['t'] } };
  const config = configOf({ precision: 'int8', lora: ['./own'], lanes: 'l.json', models });
  const [preset] = config.presets;
  expect(preset!.name).toBe('tuned');
  expect(presetConfig(config, preset!)).toMatchObject({
    ...{ model: './m', lora: ['./a=0.5'], slots: 2, idleUnloadMs: 300_000, aliases: ['t'] },
    ...{ precision: 'int8', lanes: null, draftModel: null, stepTokensMax: config.prefillChunkTokens + 2 },
  });
});

test.each([
  [{ models: [] }, 'models'],
  [{ models: { 'a b': { model: './m' } } }, 'models.a b'],
  [{ models: { a: {} } }, 'models.a.model'],
  [{ models: { a: { model: './m', port: 1 } } }, 'models.a.port'],
  [{ models: { a: { model: './m', slots: 0 } } }, 'models.a.slots'],
  [{ models: { a: { model: './m', idleUnloadMs: 'soon' } } }, 'models.a.idleUnloadMs'],
])('%j is refused by its field', (file, option) => {
  expect(() => configOf(file)).toThrow(ConfigError);
  expect(() => configOf(file)).toThrow(option);
});
