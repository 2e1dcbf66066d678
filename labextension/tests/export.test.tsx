import { nullTranslator } from '@jupyterlab/translation';
import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/preact';
import { afterEach, expect, test, vi } from 'vitest';

import { ExportForm, wishesToSend, type ExportRefusal, type ExportWishes } from '../src/lab/export/form';
import { hunksOf } from '../src/lab/export/unified';
import type { Exporter } from '../src/shared/api';

afterEach(cleanup);

const WISHES: ExportWishes = {
  out: '',
  schedule: '',
  image: '',
  store: '',
  profile: '',
  trigger_files: '',
  trigger_datasets: '',
  logical_date: '',
  fresh: false,
  force: false,
};

function form(
  proof: Exporter['proof'],
  answers: (ExportRefusal | undefined)[],
  able: Partial<Exporter> = {},
) {
  const asked: ExportWishes[] = [];
  const onStage = vi.fn();
  render(
    <ExportForm
      exporter={{ name: 'argo', title: 'Argo', proof, triggers: [], logical_date: false, ...able }}
      folder="work/exports/flow-argo"
      profiles={['smoke']}
      params={['n', 'day']}
      wishes={WISHES}
      trans={nullTranslator.load('nbpipe')}
      onSubmit={(wishes) => {
        asked.push(wishes);
        return Promise.resolve(answers.shift());
      }}
      onStage={onStage}
      onCancel={vi.fn()}
    />,
  );
  return { asked, onStage };
}

test('an exporter whose exports are not run anywhere says so, and one whose are says where', () => {
  form('validated', []);
  expect(screen.getByText(/Validated only: .* do not run it on Argo/)).toBeTruthy();
  form('executed', []);
  expect(screen.getByText(/is run on Argo in the tests/)).toBeTruthy();
});

test('a refusal stays in the form with its fix and its stage, and the form can be sent again', async () => {
  const refusal = {
    message: "stage 'train': Argo cannot express --on gpu",
    fix: 'Take it off.',
    stage: 'train',
  };
  const { asked, onStage } = form('validated', [refusal, undefined]);
  const schedule = screen.getByLabelText('Schedule');
  fireEvent.input(schedule, { target: { value: '0 6 * * *' } });
  fireEvent.click(screen.getByRole('button', { name: 'Export' }));
  const alert = await screen.findByRole('alert');
  expect(alert.textContent).toContain('cannot express --on gpu. Take it off.');
  fireEvent.click(screen.getByRole('button', { name: 'Show “train”' }));
  expect(onStage).toHaveBeenCalledWith('train');
  fireEvent.click(screen.getByLabelText(/^Write over/));
  fireEvent.click(screen.getByRole('button', { name: 'Export' }));
  await waitFor(() => expect(screen.queryByRole('alert')).toBeNull());
  expect(asked).toEqual([
    { ...WISHES, schedule: '0 6 * * *' },
    { ...WISHES, schedule: '0 6 * * *', force: true },
  ]);
});

test('the profile that is chosen is the one that is asked for', async () => {
  const { asked } = form('executed', [undefined, undefined]);
  const profile = screen.getByLabelText<HTMLSelectElement>('Profile');
  expect([...profile.options].map(({ value }) => value)).toEqual(['', 'smoke']);
  profile.value = 'smoke';
  fireEvent(profile, new Event('change', { bubbles: true }));
  fireEvent.click(screen.getByRole('button', { name: 'Export' }));
  await waitFor(() => expect(asked).toEqual([{ ...WISHES, profile: 'smoke' }]));
});

test('what starts a run is asked for where the scheduler can be told, one a line', async () => {
  form('executed', []);
  expect(screen.queryByLabelText('Files')).toBeNull();
  expect(screen.queryByLabelText('Datasets')).toBeNull();
  cleanup();
  const { asked } = form('executed', [undefined], { triggers: ['file'] });
  expect(screen.queryByLabelText('Datasets')).toBeNull();
  fireEvent.input(screen.getByLabelText('Files'), { target: { value: ' data/*.csv\n\nmore.csv ' } });
  fireEvent.click(screen.getByRole('button', { name: 'Export' }));
  await waitFor(() => expect(asked).toHaveLength(1));
  expect(wishesToSend(asked[0] ?? WISHES)).toEqual({ trigger_files: ['data/*.csv', 'more.csv'] });
  expect(wishesToSend({ ...WISHES, trigger_datasets: 's3://b/x', force: true })).toEqual({
    trigger_datasets: ['s3://b/x'],
    force: true,
  });
});

test('a parameter gets the date where the scheduler knows it, and a full rebuild can be asked for anywhere', async () => {
  form('executed', []);
  expect(screen.queryByLabelText('Date')).toBeNull();
  cleanup();
  const { asked } = form('executed', [undefined], { logical_date: true });
  const date = screen.getByLabelText<HTMLSelectElement>('Date');
  expect([...date.options].map(({ value }) => value)).toEqual(['', 'n', 'day']);
  date.value = 'day';
  fireEvent(date, new Event('change', { bubbles: true }));
  fireEvent.click(screen.getByLabelText('Each run computes everything again'));
  fireEvent.click(screen.getByRole('button', { name: 'Export' }));
  await waitFor(() => expect(asked).toHaveLength(1));
  expect(wishesToSend(asked[0] ?? WISHES)).toEqual({ logical_date: 'day', fresh: true });
});

test('a unified diff is read into its pieces', () => {
  const text = '--- a/dag.py\n+++ b/dag.py\n@@ -3,2 +3,2 @@\n one\n-two\n+2\n@@ -90 +90,0 @@\n-gone';
  expect(hunksOf(text)).toEqual([
    { a_start: 3, b_start: 3, lines: [' one', '-two', '+2'] },
    { a_start: 90, b_start: 90, lines: ['-gone'] },
  ]);
  expect(hunksOf('')).toEqual([]);
});
