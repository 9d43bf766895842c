// Prints what Redocly's recommended rules find in an OpenAPI document: a problem a line, as JSON.
import { readFileSync } from 'node:fs';
import { createConfig, lintFromString } from '@redocly/openapi-core';

const config = await createConfig({ extends: ['recommended'] });
const source = readFileSync(process.argv[2], 'utf8');
const problems = await lintFromString({ source, config, absoluteRef: 'openapi.json' });
for (const { severity, ruleId, message, location } of problems) {
  console.log(JSON.stringify({ severity, ruleId, message, pointer: location[0]?.pointer }));
}
