// A chat in a page: one session for the life of the page, answers as they are drawn, the next question stops the last answer.
import { connect } from 'sparklane/client';

const query = new URLSearchParams(location.search);
const url = query.get('url') ?? 'http://127.0.0.1:8080';
const form = document.querySelector('#form');
const question = document.querySelector('#question');
const answer = document.querySelector('#answer');

let running = null;

try {
  const client = await connect(url, { client: 'browser-example' });
  document.title = client.hello.model;
  const session = client.open();
  client.onError = ({ message }) => {
    answer.textContent = message;
  };
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    running?.cancel();
    await running?.end;
    answer.textContent = '';
    await session.append({ messages: [{ role: 'user', content: question.value }] });
    running = session.generate({ maxTokens: 256, frameIntervalUs: 16_000 }); // a frame for each of the screen's
    for await (const { text } of running) answer.append(text);
    answer.dataset.done = (await running.end).reason;
  });
  if (query.has('ask')) form.requestSubmit();
} catch (error) {
  answer.textContent = error.message;
}
