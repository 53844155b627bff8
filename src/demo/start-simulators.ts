import { eventApi } from './event-answers.ts';
import { startSimulator, type Simulator, type SimulatorOptions } from './simulator-server.ts';
import { weatherApi } from './weather-answers.ts';

/** The key that the event API asks for unless it is told another. */
export const defaultEventsApiKey = 'demo-events-key';

/** A weather API in the manner of Open-Meteo, on loopback unless told otherwise. */
export function startWeatherSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  return startSimulator(weatherApi(options.seed ?? 0), options);
}

/** An event API in the manner of Ticketmaster's, which answers only calls with its key in the query (`apikey`). */
export function startEventSimulator(options: SimulatorOptions & { readonly apiKey?: string } = {}): Promise<Simulator> {
  return startSimulator(eventApi(options.seed ?? 0, options.apiKey ?? defaultEventsApiKey), options);
}
