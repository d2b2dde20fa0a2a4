"""Members' jobs, for the operator: those that run, are stuck, wait or failed, and starting one again."""

from datetime import timedelta

from starlette.responses import Response

from coatcheck.dashboard.lists import page_request, shown
from coatcheck.dashboard.request import DashboardRequest
from coatcheck.dashboard.texts import JOB_VIEWS, translate
from coatcheck.errors import InvalidRequest
from coatcheck.http.charts import bars
from coatcheck.members import retries
from coatcheck.model.jobs import JobView, find_job, hours_of_jobs, list_jobs
from coatcheck.model.members import find_member

CHART = timedelta(hours=24)


async def show_jobs(request: DashboardRequest) -> Response:
    """The jobs that `view` selects; by default those that failed in the last week."""
    text = request.query.get("view", JobView.FAILED)
    if text not in list(JobView):
        raise InvalidRequest
    view, now = JobView(text), request.services.clock.now()
    async with request.services.db.connection() as connection:
        page = await list_jobs(connection, view, now, page_request(request))
        first = now.replace(minute=0, second=0) - CHART
        hours = {each.hour: each for each in await hours_of_jobs(connection, first)}
    each_hour = [first + timedelta(hours=number) for number in range(1, CHART // timedelta(hours=1) + 1)]
    return request.page(
        "jobs",
        jobs=shown(request, page),
        view=view,
        views=list(JobView),
        view_names={each: translate(request.locale, JOB_VIEWS[each]) for each in JobView},
        succeeded=bars(
            (f"{hour:%H:%M}", hours[hour].succeeded if hour in hours else 0) for hour in each_hour
        ),
        failed=bars((f"{hour:%H:%M}", hours[hour].failed if hour in hours else 0) for hour in each_hour),
    )


async def show_job(request: DashboardRequest) -> Response:
    async with request.services.db.connection() as connection:
        job = await find_job(connection, request.path["user"], request.path["job"])
        member = await find_member(connection, job.user_guid, job.member_guid)
    return request.page("job", job=job, member=member)


async def retry_job(request: DashboardRequest) -> Response:
    """Starts a job of the same kind on the member.

    Raises:
        Refusal: the member allows no such job now.
    """
    services = request.services
    async with services.db.transaction() as connection:
        job = await find_job(connection, request.path["user"], request.path["job"])
        started = await retries.retry_job(
            services.members, services.journal, connection, job, actor=request.actor
        )
    return request.redirect(f"/jobs/{job.user_guid}/{started}")
