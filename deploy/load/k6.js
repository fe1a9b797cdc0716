// Photos at a fixed rate, whatever the answers take, which is how users come:
//   k6 run -e URL=http://127.0.0.1:8080 -e RATE=200 -e DURATION=1m deploy/load/k6.js
// One photo in HEAVY (default 50) asks for PNG, which costs the optimizer about ten times as much: the mix that makes a
// choice of endpoint matter.
import http from 'k6/http';
import { check } from 'k6';
import { Rate } from 'k6/metrics';

const url = __ENV.URL || 'http://127.0.0.1:8080';
const heavy = Number(__ENV.HEAVY || 50);
const photo = open(__ENV.PHOTO || '../../optimizer/photos/life.jpg', 'b');
const refused = new Rate('refused');

export const options = {
  scenarios: {
    photos: {
      executor: 'constant-arrival-rate',
      rate: Number(__ENV.RATE || 50),
      timeUnit: '1s',
      duration: __ENV.DURATION || '30s',
      preAllocatedVUs: 50,
      maxVUs: 2000,
    },
  },
  thresholds: {
    checks: ['rate>0.999'],
    'http_req_duration{kind:light}': ['p(99)<1000'],
  },
};

export default function () {
  const isHeavy = Math.random() * heavy < 1;
  const target = isHeavy ? '/optimize?text=weir&format=png' : '/optimize?text=weir&position=br';
  const answer = http.post(url + target, photo, {
    headers: { 'Content-Type': 'image/jpeg' },
    tags: { kind: isHeavy ? 'heavy' : 'light' },
    responseType: 'none',
  });
  check(answer, { 'a marked photo': (answer) => answer.status === 200 });
  refused.add(answer.status === 503);
}
